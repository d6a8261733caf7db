import { Socket } from "node:net";

/**
 * Leads what connects to the usual port of a backend to the server of the tests, in this process: `TENURE_README_PORTS` is a
 * JSON object of ports by usual port, or by address for other machines ("10.0.0.1:6379"). A README's code says 6379, and runs
 * as it stands there.
 */
const redirected = new Map(
  Object.entries(JSON.parse(process.env["TENURE_README_PORTS"] ?? "{}") as Record<string, number>),
);

// eslint-disable-next-line typescript/unbound-method -- called with its `this` below
const { connect } = Socket.prototype;
Socket.prototype.connect = function connectToTestServer(this: Socket, ...args: unknown[]) {
  return connect.apply(this, redirect(args) as Parameters<typeof connect>);
};

/** Calls of `connect`: (port, host?), (options), and what `net.connect` makes of either, an array that begins with options. */
function redirect(args: unknown[]): unknown[] {
  const [first, ...rest] = args;
  if (Array.isArray(first)) {
    // A mark of Node's own on the array must stay.
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
