/** Options of previews. */
import { boolean, bytes, list, mapping, path, string } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const previewsOptions = options({
  url_preview_enabled: option(boolean, { default: false, doc: 'URL previews (needs blacklist).', effective: false }),
  url_preview_ip_range_blacklist: option(list(string), { doc: 'Ranges the spider refuses (required when enabled).', effective: false }),
  url_preview_ip_range_whitelist: option(list(string), { default: [], doc: 'Exceptions.', effective: false }),
  url_preview_url_blacklist: option(list(mapping), { default: [], doc: 'Patterns of URL parts that are not previewed.', effective: false }),
  max_spider_size: option(bytes, { default: '10M', doc: 'Max fetched bytes.', effective: false }),
  url_preview_accept_language: option(list(string), { default: ['en'], doc: 'Accept-Language sent.', effective: false }),
  oembed: section({
    disable_default_providers: option(boolean, { default: false, doc: 'Drop built-in list.' }),
    additional_providers: option(list(path), { default: [], doc: 'Files with further providers.' }),
  }, { doc: 'OEmbed providers.', effective: false }),
})
