/** `myelin federation check SERVER`: shows whether this server and another one can talk. */
import { parseArgs } from 'node:util'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { composeFederationClient } from '#app/compose-federation-client.ts'
import { loadConfig } from '#app/config.ts'
import { eventSignerOf } from '#app/signer.ts'
import { FederationCheck } from '#features/federation/federation-check.ts'
import { SystemClock } from '#platform/clock.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import { help } from './help.ts'
import { CommandError, type Terminal } from './output.ts'

/** Every server is asked, and nothing is noted: the check runs beside the server. */
const everyServer = { mayAsk: () => true, failed: async () => undefined, answered: async () => undefined, retryTs: () => 0, onAnswered: () => undefined }

/**
 * Runs a `federation` command.
 * @param args the words after `federation`
 * @returns exit status: 1 where a step failed
 * @throws CommandError, ConfigError
 */
export async function federationCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { 'config-path': { type: 'string', short: 'c', multiple: true, default: ['homeserver.yaml'] }, help: { type: 'boolean', short: 'h' } },
  })
  const [command, target, ...others] = positionals
  if (values.help || command !== 'check' || target === undefined || others.length > 0) {
    terminal.print(help('federation'))
    return values.help ? 0 : 2
  }
  if (!isServerName(target)) throw new CommandError(`"${target}" is no server name. Write it as it stands in user ids, such as matrix.org.`)
  const loaded = loadConfig(values['config-path'], { generateMissing: false })
  const { config } = loaded
  await using stack = new AsyncDisposableStack()
  const clock = new SystemClock()
  const client = composeFederationClient({ loaded, config, clock, signer: eventSignerOf(loaded), metrics: new Metrics(config.server_name), stack }, everyServer)
  let isGood = true
  for await (const step of new FederationCheck({ ...client, clock, serverName: config.server_name }).steps(target)) {
    terminal.print(`${step.isGood ? 'ok  ' : 'FAIL'}  ${step.text}`)
    isGood &&= step.isGood
  }
  return isGood ? 0 : 1
}
