/** Tables of the content repository. */
import { creates } from '../migration.ts'

export const media = creates({ version: 6, name: '0006-media', compat: 6 }, [
  `CREATE TABLE IF NOT EXISTS local_media_repository (
    media_id TEXT NOT NULL PRIMARY KEY,
    media_type TEXT,
    media_length BIGINT,
    created_ts BIGINT NOT NULL,
    upload_name TEXT,
    user_id TEXT,
    quarantined_by TEXT,
    safe_from_quarantine SMALLINT NOT NULL DEFAULT 0,
    last_access_ts BIGINT,
    authenticated SMALLINT NOT NULL,
    sha256 TEXT
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS local_media_repository_user ON local_media_repository (user_id, created_ts)',
  'CREATE INDEX IF NOT EXISTS local_media_repository_pending ON local_media_repository (user_id, created_ts) WHERE media_length IS NULL',
  `CREATE TABLE IF NOT EXISTS local_media_repository_thumbnails (
    media_id TEXT NOT NULL,
    thumbnail_width BIGINT NOT NULL,
    thumbnail_height BIGINT NOT NULL,
    thumbnail_method TEXT NOT NULL,
    animated SMALLINT NOT NULL,
    thumbnail_type TEXT NOT NULL,
    thumbnail_length BIGINT,
    PRIMARY KEY (media_id, thumbnail_width, thumbnail_height, thumbnail_method, animated)
  ) WITHOUT ROWID`,
])
