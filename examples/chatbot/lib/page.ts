// The page keeps the conversation and sends all of it with each message.

export function page(botName: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${botName}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 2rem auto; padding: 0 1rem; }
  #log { list-style: none; padding: 0; }
  #log li { margin: .5rem 0; padding: .5rem .75rem; border-radius: .75rem; width: fit-content; max-width: 80%; }
  .user { background: #d7e8ff; margin-left: auto !important; }
  .assistant { background: #eee; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; padding: .5rem; }
  button { font: inherit; padding: .5rem 1rem; }
</style>
<h1>${botName}</h1>
<ul id="log" aria-live="polite"></ul>
<form><input name="text" aria-label="message" autocomplete="off" autofocus required><button>Send</button></form>
<script type="module">
  let messages = [];
  const log = document.querySelector("#log");
  const show = ({ role, content }) => {
    const item = document.createElement("li");
    item.className = role;
    item.textContent = content;
    log.append(item);
    item.scrollIntoView();
  };
  document.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = event.target.elements.text;
    const message = { role: "user", content: field.value };
    field.value = "";
    show(message);
    const response = await fetch("/chat", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages: [...messages, message] }),
    });
    const answer = await response.json();
    if (!response.ok) {
      show({ role: "assistant", content: "error: " + (answer.error?.message ?? answer.error ?? response.status) });
      return;
    }
    messages = answer.messages;
    show(messages.at(-1));
  });
</script>
</html>
`;
}
