# Fairway's one image: operator, agent, backup jobs and scorecard test are subcommands of one static program.
# `make images` builds it; with a container engine:  docker build --build-arg VERSION=1.2.3 .
FROM docker.io/library/debian:bookworm-slim AS certificates
RUN [ -s /etc/ssl/certs/ca-certificates.crt ] || \
    { apt-get update && apt-get install --yes --no-install-recommends ca-certificates; }

FROM scratch
ARG BINARY=target/x86_64-unknown-linux-gnu/release/fairway
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="fairway" \
      org.opencontainers.image.description="Kubernetes operator for load balancers and container registries" \
      org.opencontainers.image.vendor="Fairway" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=0755 ${BINARY} /fairway
USER 65532:65532
ENTRYPOINT ["/fairway"]
