/** Options of sso. */
import { any, boolean, duration, integer, list, mapping, orNull, path, secret, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

const attributeRequirement = options({
  attribute: option(string, { doc: 'Name of the attribute.' }),
  value: option(string, { doc: 'The value it must have.' }),
  one_of: option(list(string), { doc: 'The values it may have.' }),
})

const oidcProvider = options({
  idp_id: option(string, { doc: 'Unique id; stored as oidc-<id> (oidc for legacy).' }),
  idp_name: option(string, { doc: 'Label.' }),
  idp_icon: option(string, { doc: 'Mxc.' }),
  idp_brand: option(string, { doc: 'Brand.' }),
  discover: option(boolean, { doc: 'Use discovery document.' }),
  issuer: option(string, { doc: 'Issuer URL.' }),
  client_id: option(string, { doc: 'Client id.' }),
  client_secret: option(secret, { doc: 'Secret.' }),
  client_secret_path: option(path, { doc: 'File that holds client_secret.' }),
  client_secret_jwt_key: option(object({
    key: option(secret, { doc: 'Private key in PEM form.' }),
    key_file: option(path, { doc: 'File with the private key.' }),
    jwt_header: option(mapping, { default: {}, doc: 'Header of the token, with alg.' }),
    jwt_payload: option(mapping, { default: {}, doc: 'Claims of the token.' }),
  }), { doc: 'Key that signs a token in place of a client secret.' }),
  client_auth_method: option(string, { doc: 'Token endpoint auth.' }),
  pkce_method: option(orNull(string), { default: 'auto', doc: 'PKCE.' }),
  id_token_signing_alg_values_supported: option(list(string), { doc: 'Override algorithms.' }),
  scopes: option(orNull(list(string)), { default: ['openid'], doc: 'Requested scopes.' }),
  authorization_endpoint: option(string, { doc: 'When no discovery.' }),
  token_endpoint: option(string, { doc: 'When no discovery.' }),
  userinfo_endpoint: option(string, { doc: 'When no discovery/openid scope.' }),
  jwks_uri: option(string, { doc: 'When no discovery.' }),
  skip_verification: option(boolean, { doc: 'Skip metadata checks.' }),
  user_profile_method: option(orNull(string), { default: 'auto', doc: 'Force userinfo endpoint.' }),
  redirect_uri: option(string, { doc: 'Override redirect_uri.' }),
  additional_authorization_parameters: option(mapping, { doc: 'Extra query params.' }),
  passthrough_authorization_parameters: option(list(string), { doc: 'Client params passed on.' }),
  allow_existing_users: option(boolean, { doc: 'Map onto existing accounts.' }),
  enable_registration: option(boolean, { doc: 'Create new accounts.' }),
  user_mapping_provider: option(object({
    module: option(string, { doc: 'Module that maps users; the built-in one where it is not set.' }),
    config: option(mapping, { default: {}, doc: 'Its configuration: localpart_template, display_name_template and others.' }),
  }), { doc: 'How claims become a user.' }),
  backchannel_logout_enabled: option(boolean, { default: false, doc: 'Accept logout tokens.' }),
  backchannel_logout_ignore_sub: option(boolean, { default: false, doc: 'Do not check sub.' }),
  attribute_requirements: option(list(object(attributeRequirement)), { default: [], doc: 'Claims that a user needs to log in.' }),
})

export const ssoOptions = options({
  sso: section({
    client_whitelist: option(list(string), { doc: 'URL prefixes that skip confirm page.' }),
    update_profile_information: option(boolean, { default: false, doc: 'Refresh name/avatar on each login.' }),
    template_dir: option(string, {
      doc: 'Template dir.',
      deprecated: { since: '1.41', instead: 'Use templates.custom_template_directory' },
    }),
  }, { doc: 'SSO common.', effective: false }),
  sso_redirect_confirm_template_dir: option(string, {
    doc: 'Sso redirect confirm template dir.',
    effective: false,
    deprecated: { since: '1.41', instead: 'Use templates.custom_template_directory' },
  }),
  oidc_providers: option(list(object(oidcProvider)), { default: [], doc: 'OpenID Connect providers.', effective: false }),
  oidc_config: option(object({
    ...oidcProvider,
    enabled: option(boolean, { default: false, doc: 'Whether it is used.' }),
  }), { doc: 'A single OpenID Connect provider.', effective: false, deprecated: { since: '1.25', instead: 'Use oidc_providers' } }),
  saml2_config: option(object({
    idp_name: option(string, { doc: 'Label.' }),
    idp_icon: option(string, { doc: 'Mxc.' }),
    idp_brand: option(any, { doc: 'Brand.' }),
    sp_config: option(mapping, { doc: 'Pysaml2 SP config inline.' }),
    config_path: option(path, { doc: 'Pysaml2 config file.' }),
    saml_session_lifetime: option(duration, { default: '15m', doc: 'Login round-trip limit.' }),
    user_mapping_provider: section({
      module: option(string, { doc: 'Class.' }),
      config: option(mapping, { doc: 'mxid_source_attribute, mxid_mapping.' }),
    }, { doc: 'Mapping.' }),
    grandfathered_mxid_source_attribute: option(string, { default: 'uid', doc: 'Legacy attribute match.' }),
    attribute_requirements: option(list(object(attributeRequirement)), { default: [], doc: 'Attributes that a user needs to log in.' }),
    idp_entityid: option(string, { doc: 'IdP when several.' }),
  }), { doc: 'SAML2 SSO.', effective: false }),
  cas_config: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    idp_name: option(string, { doc: 'Label.' }),
    idp_icon: option(string, { doc: 'Mxc.' }),
    idp_brand: option(string, { doc: 'Brand.' }),
    server_url: option(string, { doc: 'CAS URL.' }),
    protocol_version: option(integer, { doc: '1, 2 or 3.' }),
    displayname_attribute: option(string, { doc: 'Attribute for name.' }),
    required_attributes: option(mapping, { default: {}, doc: 'Attributes required.' }),
    enable_registration: option(boolean, { default: true, doc: 'Create accounts.' }),
    allow_numeric_ids: option(boolean, { default: false, doc: 'Allow all-digit users.' }),
    numeric_ids_prefix: option(string, { default: 'u', doc: 'Prefix for them.' }),
  }, { doc: 'CAS SSO.', effective: false }),
})
