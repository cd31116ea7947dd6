/**
 * Certificates for trying out and for tests: one authority for what applications see, one that only signs drivers. A
 * real installation brings its own (cert-manager, an internal CA), or has `hsm-driver api driver add` keep a small one.
 */
export { type Authority, openAuthority } from '../../src/shared/crypto/certificate-authority.ts';
