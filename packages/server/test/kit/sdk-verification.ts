/**
 * Two people, or two devices of one, who verify each other by comparing emoji.
 *
 * Spec: client-server API, Key verification framework and Short Authentication String (SAS) verification.
 */
import assert from 'node:assert/strict'
import { CryptoEvent, VerificationPhase, VerificationRequestEvent, VerifierEvent } from 'matrix-js-sdk/lib/crypto-api/index.js'
import type { ShowSasCallbacks, VerificationRequest, Verifier } from 'matrix-js-sdk/lib/crypto-api/index.js'
import { until, within } from './deadline.ts'
import type { SdkUser } from './sdk-client.ts'

/** The next request that reaches a client; to be called before it is made. */
export function incomingRequest(user: SdkUser): Promise<VerificationRequest> {
  const { promise, resolve } = Promise.withResolvers<VerificationRequest>()
  user.client.once(CryptoEvent.VerificationRequestReceived, resolve)
  return within(`a verification request at ${user.userId} ${user.deviceId}`, promise)
}

function phase(who: SdkUser, request: VerificationRequest, wanted: VerificationPhase): Promise<true> {
  return until(request, [VerificationRequestEvent.Change], `the phase ${VerificationPhase[wanted]} at ${who.userId} ${who.deviceId}`, () => {
    assert.notEqual(request.phase, VerificationPhase.Cancelled, `cancelled: ${request.cancellationCode}`)
    return request.phase >= wanted && (true as const)
  })
}

function shownSas(verifier: Verifier): Promise<ShowSasCallbacks> {
  return until(verifier, [VerifierEvent.ShowSas], 'the emoji', () => verifier.getShowSasCallbacks() ?? undefined)
}

/** Goes through the whole verification, from the accepting of the request to both ends being done. */
export async function verifyBySas(asker: SdkUser, request: VerificationRequest, asked: SdkUser, incoming: VerificationRequest): Promise<void> {
  await incoming.accept()
  await phase(asker, request, VerificationPhase.Ready)
  const ours = await request.startVerification('m.sas.v1')
  const ourEnd = ours.verify()
  await phase(asked, incoming, VerificationPhase.Started)
  const theirs = incoming.verifier
  assert.ok(theirs)
  const theirEnd = theirs.verify()
  const both = Promise.all([ourEnd, theirEnd])
  const compare = async (): Promise<void> => {
    const [left, right] = await Promise.all([shownSas(ours), shownSas(theirs)])
    assert.deepEqual(left.sas.emoji, right.sas.emoji)
    await Promise.all([left.confirm(), right.confirm()])
  }
  await within('the end of the verification', Promise.all([both, compare()]))
  await Promise.all([phase(asker, request, VerificationPhase.Done), phase(asked, incoming, VerificationPhase.Done)])
}
