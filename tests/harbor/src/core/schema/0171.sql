CREATE INDEX IF NOT EXISTS idx_artifact_project ON artifact (project_id);
