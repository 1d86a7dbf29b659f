/** All endpoints of the server, list by list. */

export const endpoints = [] as const
