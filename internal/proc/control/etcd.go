package control

import (
	"log/slog"

	"signpost/internal/certs"
	"signpost/internal/proc/settings"
	"signpost/internal/store"
)

func (c Config) etcd() settings.Etcd {
	return settings.Etcd{
		Endpoints: c.EtcdEndpoints, Prefix: c.EtcdPrefix, Cert: c.EtcdCert, Key: c.EtcdKey, CA: c.EtcdCA,
		User: c.EtcdUser, PasswordFile: c.EtcdPasswordFile,
	}
}

// openStore opens the store; the pair is our certificate at etcd, or nil.
func (c Config) openStore(log *slog.Logger) (*store.Store, *certs.Pair, error) {
	cfg, err := c.etcd().Config(log)
	if err != nil {
		return nil, nil, err
	}
	var pair *certs.Pair
	if cfg.TLS != nil {
		pair = cfg.TLS.Cert
	}
	cfg.Log, cfg.AuditKept, cfg.AuditBytes = log, c.auditKept(), c.AuditKeepMiB<<20
	st, err := store.Open(cfg)
	return st, pair, err
}
