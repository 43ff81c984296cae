CREATE TABLE harbor_user (
  user_id serial PRIMARY KEY, username varchar(255) UNIQUE NOT NULL, email varchar(255) UNIQUE, password varchar(128) NOT NULL DEFAULT '',
  realname varchar(255) NOT NULL DEFAULT '', comment varchar(255) NOT NULL DEFAULT '', deleted boolean NOT NULL DEFAULT false,
  salt varchar(64) NOT NULL DEFAULT '', sysadmin_flag boolean NOT NULL DEFAULT false,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE project (
  project_id serial PRIMARY KEY, owner_id int NOT NULL REFERENCES harbor_user (user_id), name varchar(255) UNIQUE NOT NULL,
  registry_id int NOT NULL DEFAULT 0, creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE project_member (
  id serial PRIMARY KEY, project_id int NOT NULL REFERENCES project ON DELETE CASCADE, entity_id int NOT NULL REFERENCES harbor_user (user_id) ON DELETE CASCADE,
  entity_type char(1) NOT NULL DEFAULT 'u', role int NOT NULL, UNIQUE (project_id, entity_id, entity_type));
CREATE TABLE project_metadata (
  id serial PRIMARY KEY, project_id int NOT NULL REFERENCES project ON DELETE CASCADE, name varchar(255) NOT NULL, value varchar(255) NOT NULL,
  UNIQUE (project_id, name));
CREATE TABLE cve_allowlist (
  id serial PRIMARY KEY, project_id int UNIQUE NOT NULL, items jsonb NOT NULL DEFAULT '[]', expires_at bigint);
CREATE TABLE quota (
  id serial PRIMARY KEY, reference varchar(255) NOT NULL, reference_id varchar(255) NOT NULL, hard jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP, UNIQUE (reference, reference_id));
CREATE TABLE quota_usage (
  id int PRIMARY KEY REFERENCES quota ON DELETE CASCADE, used jsonb NOT NULL DEFAULT '{"storage": 0}');
CREATE TABLE robot (
  id serial PRIMARY KEY, name varchar(255) NOT NULL, description varchar(1024) NOT NULL DEFAULT '', project_id int NOT NULL DEFAULT 0,
  secret varchar(128) NOT NULL, salt varchar(64) NOT NULL, duration bigint NOT NULL, expiresat bigint NOT NULL,
  disabled boolean NOT NULL DEFAULT false, permissions jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP, UNIQUE (name, project_id));
CREATE TABLE registry (
  id serial PRIMARY KEY, name varchar(256) UNIQUE NOT NULL, access_secret varchar(4096) NOT NULL DEFAULT '', document jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE replication_policy (
  id serial PRIMARY KEY, name varchar(256) UNIQUE NOT NULL, document jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE retention_policy (
  id serial PRIMARY KEY, project_id int UNIQUE NOT NULL REFERENCES project ON DELETE CASCADE, document jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE properties (
  id serial PRIMARY KEY, k varchar(64) UNIQUE NOT NULL, v varchar(4096) NOT NULL);
CREATE TABLE repository (
  repository_id serial PRIMARY KEY, name varchar(255) UNIQUE NOT NULL, project_id int NOT NULL REFERENCES project,
  pull_count bigint NOT NULL DEFAULT 0, creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE artifact (
  id serial PRIMARY KEY, project_id int NOT NULL, repository_id int NOT NULL REFERENCES repository ON DELETE CASCADE, digest varchar(255) NOT NULL,
  media_type varchar(255) NOT NULL, size bigint NOT NULL, push_time timestamp DEFAULT CURRENT_TIMESTAMP, pull_time timestamp,
  UNIQUE (repository_id, digest));
CREATE TABLE artifact_reference (
  parent_id int NOT NULL REFERENCES artifact ON DELETE CASCADE, child_digest varchar(255) NOT NULL, PRIMARY KEY (parent_id, child_digest));
CREATE TABLE tag (
  id serial PRIMARY KEY, repository_id int NOT NULL REFERENCES repository ON DELETE CASCADE, artifact_id int NOT NULL REFERENCES artifact ON DELETE CASCADE,
  name varchar(255) NOT NULL, push_time timestamp DEFAULT CURRENT_TIMESTAMP, UNIQUE (repository_id, name));
CREATE TABLE blob (
  id serial PRIMARY KEY, digest varchar(255) UNIQUE NOT NULL, size bigint NOT NULL, creation_time timestamp DEFAULT CURRENT_TIMESTAMP,
  update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE artifact_blob (
  artifact_id int NOT NULL REFERENCES artifact ON DELETE CASCADE, blob_id int NOT NULL REFERENCES blob ON DELETE CASCADE, PRIMARY KEY (artifact_id, blob_id));
CREATE TABLE artifact_trash (
  id serial PRIMARY KEY, repository_name varchar(255) NOT NULL, digest varchar(255) NOT NULL, creation_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE schedule (
  id serial PRIMARY KEY, vendor_type varchar(64) UNIQUE NOT NULL, cron_type varchar(64) NOT NULL, cron varchar(64) NOT NULL, parameters jsonb NOT NULL,
  creation_time timestamp DEFAULT CURRENT_TIMESTAMP, update_time timestamp DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE execution (
  id serial PRIMARY KEY, vendor_type varchar(64) NOT NULL, status varchar(16) NOT NULL, status_message text NOT NULL DEFAULT '',
  trigger varchar(16) NOT NULL, extra_attrs jsonb NOT NULL DEFAULT '{}', start_time timestamp DEFAULT CURRENT_TIMESTAMP,
  update_time timestamp DEFAULT CURRENT_TIMESTAMP);
INSERT INTO harbor_user (username, realname, comment, sysadmin_flag) VALUES ('admin', 'system admin', 'admin user', true);
INSERT INTO project (owner_id, name) VALUES (1, 'library');
INSERT INTO project_member (project_id, entity_id, role) VALUES (1, 1, 1);
INSERT INTO project_metadata (project_id, name, value) VALUES (1, 'public', 'true');
INSERT INTO quota (reference, reference_id, hard) VALUES ('project', '1', '{"storage": -1}');
INSERT INTO quota_usage (id) VALUES (1);
