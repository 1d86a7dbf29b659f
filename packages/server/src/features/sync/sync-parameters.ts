/** Query parameters that endpoints of sync share. */
import { Type } from 'typebox'

/** How long to wait, in milliseconds. */
export const TimeoutParam = Type.Optional(Type.Integer({ minimum: 0 }))

/** What syncing says of the user's presence. */
export const PresenceParam = Type.Optional(Type.Union(['offline', 'online', 'unavailable', 'busy', 'org.matrix.msc3026.busy'].map((value) => Type.Literal(value))))
