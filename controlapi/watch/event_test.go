package watch

import (
	"slices"
	"testing"

	"signpost/internal/access"
)

// Every action is shown by the feed, or it is said here that it changes nothing of
// zones, hosts and records.
func TestTheFeedKnowsEveryAction(t *testing.T) {
	not := []access.Action{
		access.ZoneRead, access.ZoneList, access.ZoneExport, access.HostRead, access.HostList,
		access.RecordRead, access.AuditRead, access.StatusRead, access.WhoAmI, access.LoginRead, access.Watch,
		access.PrincipalDisable, access.PrincipalRead,
		access.TokenCreate, access.TokenList, access.TokenRevoke,
		access.EndpointRead, access.EndpointBeat, access.PolicyRead, access.CheckRead,
		access.SiteList, access.CheckerList, access.FreezeRead, access.CertRead,
		access.SiteWord, access.CheckerRemove, access.FreezeSet, // of what is said of all zones
		access.CutoverList, access.CutoverImport, // in the audit it is what it consists of
		access.ZoneAccept, // of what was changed, and told, before
	}
	for _, a := range access.Actions() {
		if _, ok := shown[a]; ok == slices.Contains(not, a) {
			t.Errorf("%s: give it a row in shown if it changes a zone, a host or a record set, else name it here", a)
		}
	}
}
