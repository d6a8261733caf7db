/** Returns the URL of a database on a MongoDB server. The server's user may be in `admin`. */
export function mongoUrl(server: string, database: string): string {
  const url = new URL(server);
  if (url.username !== "" && !url.searchParams.has("authSource")) url.searchParams.set("authSource", "admin");
  url.pathname = `/${database}`;
  return url.href;
}
