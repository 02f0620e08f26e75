// Save this file while `emu dev` runs: the next request runs the new code.
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const name = decodeURIComponent(pathname.split("/")[2] || "world");
    console.log(`greeting ${name}`);
    return Response.json({ message: `${env.GREETING}, ${name}!` });
  },
};
