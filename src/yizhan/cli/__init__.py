"""The verbs of `yizhan`. Each is a thin call of the API, with or without a running gateway.

    main.py       the list of verbs, and the entry point
    verb.py       what every verb has in common: --home, --json, one line per error, exit codes
    client.py     the API: over HTTP when a gateway runs, else in this process on the opened store
    trouble.py    errors of the command line, and which exit code an error has
    paper.py      what people read: tables, times, safe text

The rest is one file per group of verbs. Heavy libraries are imported where they are needed, so that
`--help` and `send` to a running gateway start at once.
"""
