"""Signatures, against those of a library that is not ours."""

from __future__ import annotations

import pytest

from yizhan.core.signing import key_of, secret_of, signature

KEY = bytes(range(32))
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODY = '{"text":"今天下雨吗？ – café","n":1}'


@pytest.mark.parametrize(
    ("secret", "message", "stamp", "body", "signed"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            '{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (SECRET, "t_01jd8yqy7k", "1795310400", BODY, "v1,EubrJQqHw5Pxd/n3EZJOvT+XgALgKKIYSFYYohc3XH4="),
        (
            SECRET.rstrip("="),
            "t_01jd8yqy7k",
            "1795310400",
            BODY,
            "v1,EubrJQqHw5Pxd/n3EZJOvT+XgALgKKIYSFYYohc3XH4=",
        ),
    ],
    ids=["of the specification", "wide characters", "a secret without padding"],
)
def test_signatures_are_those_of_standard_webhooks(
    secret: str, message: str, stamp: str, body: str, signed: str
) -> None:
    """Libraries in a dozen languages verify them. Source: the tests of standardwebhooks/standard-webhooks; what
    `Webhook.sign` of its Python library, `standardwebhooks` 1.1.0 of PyPI, has made of the others."""
    assert signed == signature(key_of(secret), message, stamp, body.encode())


def test_a_secret_of_the_usual_form_is_told_and_read_alike() -> None:
    assert (SECRET, KEY) == (secret_of(KEY), key_of(SECRET))


def test_a_secret_without_the_prefix_is_taken_as_it_is() -> None:
    """Whoever chose it need not know what base64 is."""
    assert b"a secret of our own" == key_of("a secret of our own")


@pytest.mark.parametrize("secret", ["whsec_not base64 at all", "whsec_A"])
def test_a_secret_that_is_no_base64_is_refused(secret: str) -> None:
    """Decoded all the same it would sign with something that nobody has."""
    with pytest.raises(ValueError):
        key_of(secret)
