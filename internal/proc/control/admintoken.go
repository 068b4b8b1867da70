package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"signpost/internal/access"
	"signpost/internal/auditlog"
	"signpost/internal/model"
	"signpost/internal/store"
)

// tokenCommand is who changed admin tokens, in the audit.
const tokenCommand = "signpostd admin-token"

// NewToken makes another admin token. It, and all about admin tokens, needs the rights on
// etcd and the master key that a control service has, and no control service.
func NewToken(ctx context.Context, c Config, logs io.Writer) (text string, err error) {
	err = c.withTokens(ctx, logs, func(st *store.Store, log *slog.Logger) error {
		text, err = newAdminToken(ctx, st, c, log)
		return err
	})
	return text, err
}

// ListTokens is the admin tokens that there are, by id.
func ListTokens(ctx context.Context, c Config, logs io.Writer) (all []*model.Token, err error) {
	err = c.withTokens(ctx, logs, func(st *store.Store, _ *slog.Logger) error {
		return st.Read(ctx, func(tx *store.Tx) error {
			all, err = tx.AdminTokens()
			return err
		})
	})
	return all, err
}

// RevokeToken takes an admin token back, at once and everywhere: streams that it opened
// end. Errors: NotFound.
func RevokeToken(ctx context.Context, c Config, id string, logs io.Writer) error {
	return c.withTokens(ctx, logs, func(st *store.Store, log *slog.Logger) error {
		return c.changeToken(ctx, st, log, "token.revoke", id, func(tx *store.Tx) error { return tx.DropAdminToken(id) })
	})
}

// withTokens opens the store of an etcd that was set up, with the key that goes with it.
func (c Config) withTokens(ctx context.Context, logs io.Writer, do func(*store.Store, *slog.Logger) error) error {
	log, err := c.logger(logs)
	if err != nil {
		return err
	}
	st, _, err := c.openStore(log)
	if err != nil {
		return err
	}
	if err = c.wasSetUp(ctx, st, log); err == nil {
		err = do(st, log)
	}
	return errors.Join(err, st.Close())
}

func (c Config) wasSetUp(ctx context.Context, st *store.Store, log *slog.Logger) error {
	switch id, err := st.MasterKeyID(ctx); {
	case err != nil:
		return err
	case id == "":
		return model.E(model.Precondition, "find admin tokens under", c.EtcdPrefix).Because("nothing was ever set up there").
			Hint("check --etcd-endpoints and --etcd-prefix; the first signpostd serve makes the first token")
	}
	return setUp(ctx, st, c, log)
}

func newAdminToken(ctx context.Context, st *store.Store, c Config, log *slog.Logger) (string, error) {
	text := access.NewAdminToken()
	secret, err := access.ParseSecret(text)
	if err != nil {
		return "", err
	}
	id := access.NewTokenID()
	return text, c.changeToken(ctx, st, log, "token.create", id, func(tx *store.Tx) error {
		if _, err := tx.Token(secret.Sum[:]); err != nil {
			return err
		}
		tx.PutToken(secret.Sum[:], &model.Token{ID: id, Admin: true, CreateTime: time.Now()})
		return nil
	})
}

// changeToken changes what there is of a token, with its audit record.
func (c Config) changeToken(ctx context.Context, st *store.Store, log *slog.Logger, action, id string, do func(*store.Tx) error) error {
	a := model.AuditRecord{Time: time.Now(), Principal: tokenCommand, Action: action}
	if what := "admin token " + id; action == "token.create" {
		a.After = what
	} else {
		a.Before = what
	}
	res, err := st.Update(ctx, func(tx *store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		tx.Audit(a)
		return nil
	})
	if err != nil {
		return err
	}
	c.noteAudit(auditlog.Record{
		Time: a.Time, Outcome: auditlog.Changed, Principal: a.Principal, Action: a.Action, Before: a.Before, After: a.After, Revision: res.Revision,
	}, log)
	return nil
}
