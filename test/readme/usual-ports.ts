import { Socket } from "node:net";

/**
 * Redirects this process's connections from a backend's usual port to the test's server, so that a README's
 * code, which says 6379, runs unchanged. `TENURE_README_PORTS` is a JSON object. It maps usual ports, and
 * addresses of other machines ("10.0.0.1:6379"), to the ports of the test's servers.
 */
const redirected = new Map(
  Object.entries(JSON.parse(process.env["TENURE_README_PORTS"] ?? "{}") as Record<string, number>),
);

// eslint-disable-next-line typescript/unbound-method -- called with its `this` below
const { connect } = Socket.prototype;
Socket.prototype.connect = function connectToTestServer(this: Socket, ...args: unknown[]) {
  return connect.apply(this, redirect(args) as Parameters<typeof connect>);
};

/**
 * Handles the forms of `connect`: (port, host?), (options), and `net.connect`'s normalised form, an array
 * that begins with options.
 */
function redirect(args: unknown[]): unknown[] {
  const [first, ...rest] = args;
  if (Array.isArray(first)) {
    // Node marks this array with a symbol, so the same array must be passed on.
    first[0] = redirectOptions(first[0]);
    return args;
  }
  if (typeof first === "object") return [redirectOptions(first), ...rest];
  const options = redirectOptions({ port: first, host: rest[0] }) as { port: unknown };
  return [options.port, ...rest];
}

function redirectOptions(options: unknown): unknown {
  if (typeof options !== "object" || options === null || !("port" in options)) return options;
  const host = "host" in options ? options.host : undefined;
  const isHere = typeof host !== "string" || /^(?:localhost|127\.0\.0\.1|::1)$/u.test(host);
  const port = redirected.get(isHere ? String(options.port) : `${host}:${String(options.port)}`);
  return port !== undefined ? { ...options, host: "127.0.0.1", port } : options;
}
