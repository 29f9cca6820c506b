"""Accounts as HTML: which bots this gateway speaks for, and how another one is added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from yizhan.core.connection import Lost
from yizhan.errors import InvalidRequest
from yizhan.model import Account, AccountState, Credentials, Reason
from yizhan.web.console import advice, controls, overview
from yizhan.web.console.markup import Html, join, tag
from yizhan.web.console.words import Words
from yizhan.web.exchange import WebAddress

_ADDRESS: TypeAdapter[str] = TypeAdapter(WebAddress)


def account_table(words: Words, accounts: Sequence[Account]) -> Html:
    """`accounts`: as they stand now."""
    if not accounts:
        return overview.no_accounts(words)
    heads = [words("account"), words("filter.state"), words("acts")]
    return controls.table(
        words("accounts"), heads, [_row(words, account) for account in accounts], "accounts"
    )


def _row(words: Words, account: Account) -> Html:
    told = tag("span", words.reason(account.reason), class_="quiet id") if account.reason else None
    return tag(
        "tr",
        tag(
            "th",
            tag("span", account.platform, class_="platform"),
            " ",
            tag("bdi", account.external_id),
            scope="row",
        ),
        tag("td", overview.state_mark(words, account.state), told, data_label=words("filter.state")),
        tag("td", controls.buttons(*_acts(words, account))),
        data_account=account.id,
        data_state=account.state.value,
    )


def _acts(words: Words, account: Account) -> list[Html]:
    made = []
    if account.platform == "weixin":
        look = "small primary" if account.state is AccountState.LOGIN_NEEDED else "small"
        made.append(controls.button("login", words("accounts.again"), look))
    made.append(controls.button("test", words("accounts.test"), "small", data_about=account.id))
    name = "resume" if account.paused else "pause"
    made.append(controls.button(name, words(f"accounts.{name}"), "small", data_about=account.id))
    sure = words("accounts.remove.sure", account=account.id)
    made.append(
        controls.button(
            "remove", words("accounts.remove"), "small danger", data_about=account.id, data_confirm=sure
        )
    )
    return made


def weixin_panel(words: Words) -> Html:
    return tag(
        "section",
        tag("h2", words("accounts.weixin")),
        tag("p", words("accounts.weixin.how"), class_="quiet"),
        controls.button("login", words("login.open"), "primary"),
        class_="panel",
    )


def qq_panel(words: Words) -> Html:
    """App id and secret, to be tested before they are kept."""
    secret = controls.field(
        "secret",
        words("qq.secret"),
        type="password",
        autocomplete="new-password",
        required=True,
        maxlength=4096,
    )
    more = tag(
        "details",
        tag("summary", words("qq.advanced")),
        controls.field("api", words("qq.api"), type="url", maxlength=400),
        controls.field("token", words("qq.token"), type="url", maxlength=400),
    )
    return tag(
        "section",
        tag("h2", words("accounts.qq")),
        tag("p", words("accounts.qq.how"), class_="quiet"),
        controls.form(
            "qq",
            controls.field("app", words("qq.app"), inputmode="numeric", required=True, maxlength=32),
            secret,
            controls.check("webhook", "yes", words("qq.webhook")),
            more,
            controls.buttons(
                controls.submit(words("qq.test"), "", name="deed", value="test"),
                controls.submit(words("qq.save"), name="deed", value="save"),
            ),
        ),
        class_="panel",
    )


def panels(words: Words, platforms: Sequence[str]) -> Html:
    made = {"weixin": weixin_panel, "qq": qq_panel}
    return join(*(made[platform](words) for platform in platforms if platform in made))


def refusal(words: Words, name: str, lost: Lost) -> str:
    """What the platform does not like, and what to change: as it is done on this page, else as the platform advises."""
    why = words.reason(Reason(lost.code, lost.text))
    advised, _ = advice.told(words.language, lost.action)
    return words(name, why=why, fix=words.known(f"fix.{lost.code}", advised)).strip()


def qq_of(fields: Mapping[str, Sequence[str]], base_url: str) -> tuple[str, Credentials]:
    """App id and credentials from the form. Raises InvalidRequest, which repeats nothing secret."""
    typed = {name: "".join(values).strip() for name, values in fields.items()}
    app = typed.get("app", "")
    if not (app.isascii() and app.isdigit() and len(app) <= 32):
        raise InvalidRequest("That is no app id.", "It is the number that q.qq.com shows as AppID.")
    return app, Credentials(
        secret=typed.get("secret", ""),
        base_url=_address(typed.get("api", "")) or base_url,
        token_url=_address(typed.get("token", "")),
        webhook=bool(typed.get("webhook")),
    )


def _address(text: str) -> str:
    """An http(s) address, or nothing. Raises InvalidRequest."""
    if not text:
        return ""
    try:
        return _ADDRESS.validate_python(text)
    except ValidationError:
        raise InvalidRequest(
            "That is no address.", "Write it as https://host or https://host:port."
        ) from None
