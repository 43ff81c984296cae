ALTER TABLE artifact ADD COLUMN IF NOT EXISTS artifact_type varchar(255) NOT NULL DEFAULT '';
CREATE TABLE IF NOT EXISTS audit_log_ext (
  id bigserial PRIMARY KEY, project_id bigint, operation varchar(50) NOT NULL DEFAULT '', resource_type varchar(255) NOT NULL DEFAULT '',
  resource varchar(1024), username varchar(255), op_time timestamp DEFAULT CURRENT_TIMESTAMP);
