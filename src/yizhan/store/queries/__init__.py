"""Every query of the store, each with a name and a sentence, one text for both engines.

Who asks decides where a query stands:

    by_key     a batch of writes that loads its rows
    flush      the same batch when it writes them
    lanes      a corridor before each send
    road_in    turns, commands, an agent's memory
    road_out   expiry, recovery, receipts, people who wait
    schedules  the timetable
    watching   the look for what a person should know
    windows    pages for people and programs
    people     accounts, senders, API keys
    webhooks   posts to programs
    notes      the store itself
    pruning    the broom
    terms      all of them: parameters, and the conditions of partial indexes
"""
