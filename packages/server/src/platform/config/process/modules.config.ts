/** Options of modules. */
import { any, list, mapping, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const modulesOptions = options({
  modules: option(list(object({
    module: option(string, { doc: 'Class path of the module.' }),
    config: option(mapping, { doc: 'Passed to the module\'s parse_config.' }),
  })), { default: [], doc: 'Generic modules to load, in order.', effective: false }),
  spam_checker: option(any, {
    doc: 'Module of the old spam checker interface.',
    effective: false,
    deprecated: { since: '1.37', instead: 'Use modules' },
  }),
  third_party_event_rules: option(mapping, {
    doc: 'Third party event rules.',
    effective: false,
    deprecated: { since: '1.39', instead: 'Use modules' },
  }),
  password_providers: option(list(any), {
    doc: 'Password providers.',
    effective: false,
    deprecated: { since: '1.46', instead: 'Use modules' },
  }),
  experimental_features: option(mapping, { default: {}, doc: 'Flags of proposals, as in msc1234_enabled.', effective: false }),
})
