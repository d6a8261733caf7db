export { type FastifySessionStore, type FastifySessionStoreOptions, fastifySessionStore } from "./store.ts";
