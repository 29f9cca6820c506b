"""The mutation drill: bugs that gateways really have had, planted one at a time, each to be killed by the suite.

A bug is a patch file in this directory:

    In one sentence, what the bug does.
    kill: tests/stories/test_field_order.py::test_the_same_message_twice_after_a_slow_answer
    kill: tests/core/test_reaction.py
    --- a/src/yizhan/...

Its `kill:` lines select the tests of which one must fail within a minute. A bug that survives is a missing test;
a patch that no longer applies is to be refreshed: plant the bug by hand and write `git diff -U2` below the header.
"""
