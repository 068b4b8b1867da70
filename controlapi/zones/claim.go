package zones

import (
	"context"
	"maps"
	"slices"
	"time"

	"signpost/controlapi/call"
	"signpost/internal/model"
	"signpost/internal/store"
)

// cleanupWithin is how long the end of a claim may take.
const cleanupWithin = 10 * time.Second

// ReleaseClaim ends the claim of an import, well ended or not.
func ReleaseClaim(c *call.Call, claim *store.Claim) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Ctx), cleanupWithin)
	defer cancel()
	if _, err := claim.Release(ctx); err != nil {
		c.Desk.Log.WarnContext(c.Ctx, "names of an unused generation stay behind until they are swept", "zone", c.Resource.Name.Text(), "error", err)
	}
}

// SameNames reports whether what is at names is the same.
func SameNames(a, b map[model.Name]*model.NameData) bool {
	return maps.EqualFunc(a, b, func(x, y *model.NameData) bool { return slices.EqualFunc(x.RRsets, y.RRsets, model.RRset.Equal) })
}
