/** Which unfinished features are switched on. */
import type { Config } from './config.ts'

/** Whether an operator has set a flag of `experimental_features`, such as `msc3912_enabled`. */
export function isExperimental(config: Pick<Config, 'experimental_features'>, flag: string): boolean {
  return config.experimental_features[flag] === true
}
