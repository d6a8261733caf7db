export {
  type FastifySessionStore,
  type FastifySessionStoreOptions,
  fastifySessionStore,
  type LoginOutcome,
  type RequestWithSession,
} from "./store.ts";
