"""Who is there: users with a phone, bots bound to them, and the conversations between a bot and a user.

Of each user one bot is bound at a time; a new binding revokes the old bot's token. (Tencent/openclaw-weixin
#69, #156.) A freedom of the simulator: any user may write to any live bot, so that one bot can have many chats.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from random import Random

USER_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}@im\.wechat")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class SimError(Exception):
    """What was asked of the phone or of the control API cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class User:
    user_id: str
    name: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.user_id, self.name)


@dataclass(slots=True)
class Bot:
    """`revoked_at_ms` is set when its token died. `label`: what the phone calls it."""

    bot_id: str
    token: str = field(repr=False)
    user_id: str
    made_at_ms: int
    label: str = ""
    online: bool = False
    revoked_at_ms: int | None = None
    last_poll_ms: int | None = None
    last_seq: int = 0


@dataclass(frozen=True, slots=True)
class Bubble:
    """What a phone shows. `kind`: text, image, file, video, voice. `media` is a key for `Cdn.plain`, if any.
    `author`: who said it, where several people write in one room."""

    number: int
    at_ms: int
    from_bot: bool
    kind: str
    text: str
    message_id: str
    client_id: str = ""
    name: str = ""
    size: int = 0
    quoted: str = ""
    media: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    receipt: int
    text_sha256: str


@dataclass(slots=True)
class Conversation:
    """One (bot, user) pair. `tokens`: reply token → time it was issued, oldest first, 64 at most."""

    bot_id: str
    user_id: str
    last_inbound_ms: int | None = None
    sends_since_inbound: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    tickets: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    typing_until_ms: int = 0
    bubbles: list[Bubble] = field(default_factory=list)
    accepted: dict[str, Acceptance] = field(default_factory=dict)
    late_until_ms: int = 0

    def issue(self, token: str, now_ms: int) -> None:
        self.tokens[token] = now_ms
        if len(self.tokens) > 64:
            oldest = next(iter(self.tokens))
            del self.tokens[oldest]
            self.expired.discard(oldest)

    def expire_tokens(self) -> int:
        """All tokens issued so far are no longer honoured; says how many."""
        self.expired.update(self.tokens)
        return len(self.tokens)


@dataclass(slots=True)
class People:
    rng: Random
    users: dict[str, User] = field(default_factory=dict)
    bots: dict[str, Bot] = field(default_factory=dict)
    conversations: dict[tuple[str, str], Conversation] = field(default_factory=dict)
    _bound: dict[str, str] = field(default_factory=dict)
    _by_token: dict[str, Bot] = field(default_factory=dict)

    def text_of(self, length: int, letters: str = _LETTERS) -> str:
        return "".join(self.rng.choices(letters, k=length))

    def base64_of(self, prefix: str, length: int) -> str:
        return prefix + self.text_of(length - len(prefix), _BASE64)

    def add_user(self, name: str, user_id: str | None = None) -> User:
        if any(user.name == name for user in self.users.values()):
            raise SimError(f"there is already a user named {name!r}")
        made = user_id or f"o9cq80{self.text_of(22)}@im.wechat"
        if not USER_ID.fullmatch(made) or made in self.users:
            raise SimError(f"user id {made!r} is taken or not of the form xxx@im.wechat")
        self.users[made] = User(made, name)
        return self.users[made]

    def user(self, id_or_name: str) -> User:
        found = self.users.get(id_or_name)
        found = found or next((user for user in self.users.values() if user.name == id_or_name), None)
        if found is None:
            raise SimError(
                f"no user {id_or_name!r}; known: {', '.join(u.name for u in self.users.values()) or 'none'}"
            )
        return found

    def bind(
        self, user: User, now_ms: int, token: str | None, bot_id: str | None, label: str = ""
    ) -> tuple[Bot, Bot | None]:
        """A new bot for this user, and the one whose token thereby died."""
        made_id = bot_id or (token or "").split(":")[0] or f"{self.rng.getrandbits(48):012x}@im.bot"
        if made_id in self.bots:
            raise SimError(f"bot {made_id!r} exists already")
        made_token = token or f"{made_id}:060000{self.rng.getrandbits(160):040x}"
        bot = Bot(made_id, made_token, user.user_id, now_ms, label or f"Bot {len(self.bots) + 1}")
        old = self.bots.get(self._bound.get(user.user_id, ""))
        if old is not None:
            self.revoke(old, now_ms)
        self.bots[made_id] = self._by_token[made_token] = bot
        self._bound[user.user_id] = made_id
        return bot, old

    def revoke(self, bot: Bot, now_ms: int) -> None:
        bot.revoked_at_ms = bot.revoked_at_ms or now_ms
        bot.online = False
        self._by_token.pop(bot.token, None)
        if self._bound.get(bot.user_id) == bot.bot_id:
            del self._bound[bot.user_id]

    def bot(self, bot_id: str) -> Bot:
        if bot_id not in self.bots:
            raise SimError(f"no bot {bot_id!r}; known: {', '.join(self.bots) or 'none'}")
        return self.bots[bot_id]

    def live_bots(self) -> list[Bot]:
        return [bot for bot in self.bots.values() if bot.revoked_at_ms is None]

    def by_token(self, token: str) -> Bot | None:
        return self._by_token.get(token)

    def bound_bot(self, user_id: str) -> Bot | None:
        return self.bots.get(self._bound.get(user_id, ""))

    def bot_for(self, user: User, bot_id: str | None) -> Bot:
        """The bot a user's words go to: the named one, else the user's own, else the only one there is."""
        if bot_id is not None:
            bot = self.bot(bot_id)
            if bot.revoked_at_ms is not None:
                raise SimError(f"bot {bot_id!r} is no longer linked")
            return bot
        own, live = self.bound_bot(user.user_id), self.live_bots()
        if own is None and len(live) != 1:
            raise SimError(f"{user.name!r} is linked to no bot; name one of {[bot.bot_id for bot in live]}")
        return own or live[0]

    def conversation(self, bot_id: str, user_id: str) -> Conversation:
        """Made on first use; it is open for the bot only after the user has written."""
        key = (bot_id, user_id)
        if (found := self.conversations.get(key)) is None:
            found = self.conversations[key] = Conversation(bot_id, user_id)
        return found
