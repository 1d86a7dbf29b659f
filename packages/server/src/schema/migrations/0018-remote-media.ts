/** Content of other servers that is kept here. */
import { creates } from '../migration.ts'

export const remoteMedia = creates({ version: 18, name: '0018-remote-media', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS remote_media_cache (
    media_origin TEXT NOT NULL,
    media_id TEXT NOT NULL,
    media_type TEXT,
    created_ts BIGINT NOT NULL,
    upload_name TEXT,
    media_length BIGINT NOT NULL,
    filesystem_id TEXT NOT NULL,
    last_access_ts BIGINT NOT NULL,
    quarantined_by TEXT,
    authenticated SMALLINT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (media_origin, media_id)
  )`,
  'CREATE INDEX IF NOT EXISTS remote_media_cache_last_access ON remote_media_cache (last_access_ts)',
  `CREATE TABLE IF NOT EXISTS remote_media_cache_thumbnails (
    media_origin TEXT NOT NULL,
    media_id TEXT NOT NULL,
    thumbnail_width BIGINT NOT NULL,
    thumbnail_height BIGINT NOT NULL,
    thumbnail_method TEXT NOT NULL,
    animated SMALLINT NOT NULL,
    thumbnail_type TEXT NOT NULL,
    thumbnail_length BIGINT,
    PRIMARY KEY (media_origin, media_id, thumbnail_width, thumbnail_height, thumbnail_method, animated)
  )`,
])
