export function page(name: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${name}</title>
<style>
  body { font: 16px/1.5 system-ui; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
  p { margin: .5rem 0 } .user { text-align: right; color: #06c }
  input { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem }
</style>
<h1>${name}</h1>
<main aria-live="polite"></main>
<form><input aria-label="Your message" placeholder="Say hello" autofocus></form>
<script type="module">
  let messages = [];
  const [main, form, input] = ["main", "form", "input"].map((tag) => document.querySelector(tag));
  const show = () => main.replaceChildren(...messages.map(({ role, content }) =>
    Object.assign(document.createElement("p"), { className: role, textContent: content })));
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    messages.push({ role: "user", content: input.value });
    input.value = "";
    show();
    const response = await fetch("/chat", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages }),
    });
    const answer = await response.json();
    messages = answer.messages ?? [...messages, { role: "assistant", content: answer.error }];
    show();
  };
</script>
`;
}
