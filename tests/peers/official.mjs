// The official client's own API module (dist/src/api/api.js, unmodified): notifyStart, getUpdates, getConfig,
// sendTyping, sendMessage, notifyStop. Its host application is not installed; the three functions that the module's
// imports want from it, and the quote cache's database, are given as stand-ins by a resolve hook. No network code is.
//
// Arguments: package directory, base URL, token. Prints what it received and got as JSON.
import { register } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const stand_ins = `
  export const normalizeAccountId = (id) => id.replace(/[@.]/g, "-");
  export const resolvePreferredOpenClawTmpDir = () => process.env.TMPDIR || "/tmp";
  export const withFileLock = (_path, _options, work) => work();
  export class DatabaseSync {}
  export default {};
`;
const hook = `
  const STAND_INS = "data:text/javascript," + ${JSON.stringify(encodeURIComponent(stand_ins))};
  export async function resolve(name, context, next) {
    if (name.startsWith("openclaw/") || name === "node:sqlite") return { url: STAND_INS, shortCircuit: true };
    return next(name, context);
  }
`;
register("data:text/javascript," + encodeURIComponent(hook), import.meta.url);

const [home, baseUrl, token] = process.argv.slice(2);
const api = await import(pathToFileURL(path.join(home, "dist/src/api/api.js")).href);

const started = await api.notifyStart({ baseUrl, token });
const updates = await api.getUpdates({ baseUrl, token, get_updates_buf: "", timeoutMs: 10_000 });
const message = updates.msgs[0];
const to = message.from_user_id;
const config = await api.getConfig({ baseUrl, token, ilinkUserId: to, contextToken: message.context_token });
await api.sendTyping({ baseUrl, token, body: { ilink_user_id: to, typing_ticket: config.typing_ticket, status: 1 } });
const text = `official heard: ${message.item_list[0].text_item.text}`;
const sent = await api.sendMessage({
  baseUrl,
  token,
  body: {
    msg: {
      from_user_id: "", to_user_id: to, client_id: "openclaw-weixin:1-0a0b0c0d", message_type: 2, message_state: 2,
      item_list: [{ type: 1, text_item: { text } }], context_token: message.context_token,
    },
  },
});
const stopped = await api.notifyStop({ baseUrl, token });
console.log(JSON.stringify({ message_id: message.message_id, receipt: sent.message_id, ret: [started.ret, config.ret, stopped.ret] }));
