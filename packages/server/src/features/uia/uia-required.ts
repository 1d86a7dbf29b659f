/**
 * The answer that asks for (more) interactive authentication.
 *
 * Spec: client-server API, "User-Interactive Authentication API".
 */
import { MatrixError } from '@myelin/protocol/errors.ts'

/** Stages that are to be completed, where the client stands, and what went wrong with the last attempt. */
export interface UiaState {
  readonly session: string
  readonly flows: readonly (readonly string[])[]
  readonly params: Readonly<Record<string, unknown>>
  readonly completed: readonly string[]
  /** The refusal of the last attempt. */
  readonly refusal?: MatrixError | undefined
}

/** Refuses for good, with 403: the attempt names somebody whom the operation does not concern, and trying again cannot help. */
export class UiaMismatch extends MatrixError {
  constructor() {
    super(403, 'M_FORBIDDEN', 'Somebody else than the user who is logged in confirmed this; confirm as the same user.')
  }
}

/** 401 with the flows; it carries an error code only where an attempt failed. */
export class UiaRequired extends MatrixError {
  readonly state: UiaState

  constructor(state: UiaState) {
    super(401, state.refusal?.errcode ?? 'M_UNAUTHORIZED', state.refusal?.message ?? 'This needs interactive authentication.')
    this.state = state
  }

  override get body(): Record<string, unknown> {
    const { session, flows, params, completed, refusal } = this.state
    return {
      session,
      flows: flows.map((stages) => ({ stages })),
      params,
      completed,
      ...(refusal ? refusal.body : {}),
    }
  }
}
