/** More rounds than requests of one browser, or logins of one user, meet; past this something else is wrong. */
export const MAX_ATTEMPTS = 1000;
