package control

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/auditlog"
	"signpost/internal/model"
)

// The most of the audit that etcd may keep: ten years, and half of the largest quota that
// is advised for a database.
const (
	mostAuditDays = 3660
	mostAuditMiB  = 4096
)

func (c Config) checkAudit() []error {
	var problems []error
	for name, v := range map[string]struct{ is, most int }{
		"audit-keep-days": {c.AuditKeepDays, mostAuditDays}, "audit-keep-mib": {c.AuditKeepMiB, mostAuditMiB},
	} {
		if v.is < 1 || v.is > v.most {
			problems = append(problems, model.E(model.Invalid, "read setting", name).Because(fmt.Sprintf("%d is not between 1 and %d", v.is, v.most)))
		}
	}
	return problems
}

// auditKept is for how long etcd keeps the audit; 0: as long as the store does by itself.
func (c Config) auditKept() time.Duration { return time.Duration(c.AuditKeepDays) * 24 * time.Hour }

// openAudit opens the audit file; nil when there is to be none.
func (c Config) openAudit(log *slog.Logger, reg prometheus.Registerer) (*auditlog.File, error) {
	if c.AuditFile == "" {
		return nil, nil
	}
	return auditlog.Open(c.AuditFile, log, reg)
}

// writeAudit writes until Close has ended the service.
func (s *Server) writeAudit() {
	ctx, stop := context.WithCancel(context.Background()) // Close ends it, after the last call: what that did is written, too
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.audit.Run(ctx)
	}()
	s.endAudit = func() {
		stop()
		<-done
	}
}

// reopenOnHangup opens the audit file anew at each SIGHUP, until ctx ends, and keeps a
// closed standard output from ending the process. Without an audit file neither is
// touched.
func (s *Server) reopenOnHangup(ctx context.Context) {
	if s.audit == nil {
		return
	}
	signal.Ignore(syscall.SIGPIPE)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	s.running.Go(func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-hangups:
				s.audit.Reopen()
			case <-ctx.Done():
				return
			}
		}
	})
}

// noteAudit writes one record of a command that is no service. What it does is done
// already, so a file that cannot be written is a warning.
func (c Config) noteAudit(r auditlog.Record, log *slog.Logger) {
	log.LogAttrs(context.Background(), slog.LevelInfo, string(r.Outcome), r.Attrs()...) // no handler of ours looks at a context
	if c.AuditFile == auditlog.Stdout {
		return // there is the command's answer
	}
	f, err := c.openAudit(log, nil)
	if err != nil {
		log.Warn("not in the audit file", "error", err)
		return
	}
	if f == nil {
		return
	}
	f.Add(r)
	done, cancel := context.WithCancel(context.Background())
	cancel() // before it begins: it writes what there is, and returns
	f.Run(done)
}
