package automation

import (
	"context"
	"errors"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Who did it, in audit records.
const (
	byWords    = "system/words"
	byFailback = "system/failback"
)

// endWords takes back timed words whose time is over.
func (a *Automation) endWords(ctx context.Context) error {
	var ended []store.WordOn
	err := a.store.Read(ctx, func(tx *store.Tx) error {
		frozen, err := isFrozen(tx)
		if err != nil || frozen {
			return err
		}
		ended, err = tx.EndedWords()
		return err
	})
	errs := []error{err}
	for _, w := range ended {
		errs = append(errs, a.endWord(ctx, w))
	}
	return errors.Join(errs...)
}

func (a *Automation) endWord(ctx context.Context, w store.WordOn) error {
	done := false
	res, err := a.store.Update(ctx, func(tx *store.Tx) error {
		frozen, err := isFrozen(tx)
		if err != nil || frozen {
			return err
		}
		if done, err = tx.EndWord(w); err != nil || !done {
			return err
		}
		r := model.AuditRecord{
			Time: a.now(), Principal: byWords, Action: string(wordActions[w.On.Kind]), Zone: w.On.Zone, Name: w.On.Name,
			Detail: w.On.Endpoint + w.On.Site, Before: describe(w.Word),
		}
		if w.On.Name != "" {
			if r.Owner, err = ownerOf(tx, store.HostAt{Zone: w.On.Zone, Name: w.On.Name}); err != nil {
				return err
			}
		}
		tx.Audit(r)
		return nil
	})
	if err == nil && done && res.Changed {
		a.steps.WithLabelValues("word-ended").Inc()
		a.log.Info("the time of an operator's word is over", "zone", w.On.Zone.Text(), "name", w.On.Name.Text(), "endpoint", w.On.Endpoint, "site", w.On.Site, "word", describe(w.Word))
	}
	return err
}

var wordActions = map[model.KeyKind]access.Action{
	model.EndpointWordKey: access.EndpointAuto, model.HostWordKey: access.HostWord, model.SiteWordKey: access.SiteWord,
}

func describe(w *model.Word) string {
	text := map[model.Saying]string{model.SayUp: "up", model.SayDown: "down", model.SayDrain: "drain"}[w.Say]
	if w.Reason != "" {
		text += " (" + w.Reason + ")"
	}
	return text + " until " + w.ExpireTime.UTC().Format(time.RFC3339)
}
