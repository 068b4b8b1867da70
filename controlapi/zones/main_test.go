package zones_test

import (
	"testing"

	"signpost/controlapi/controltest"
)

func TestMain(m *testing.M) { controltest.Main(m) }
