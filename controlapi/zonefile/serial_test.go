package zonefile

import (
	"testing"

	"signpost/internal/model"
)

func TestAnImportsSerialIsGreater(t *testing.T) {
	for _, c := range []struct {
		name             string
		zone             bool
		base             uint32
		served, now, set int64
		file             uint32
	}{
		{"new, small serial in the file", false, 0, 0, 100, 105, 7},
		{"new, date serial", false, 0, 0, 100, 101, 2026112301},
		{"new, file at the end of the circle", false, 0, 0, 100, 101, 0xffffffff},
		{"there, file behind", true, 5, 90, 100, 130, 7},
		{"there, file ahead", true, 5, 90, 100, 130, 2026112301},
		{"there, wrapped base", true, 0xfffffff0, 90, 100, 130, 70},
		{"revisions over 32 bits", true, 0, 1<<33 + 5, 1<<33 + 9, 1<<33 + 50, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := state{zoneRevision: c.served}
			if c.zone {
				was.zone = &model.Zone{SerialBase: c.base}
			}
			next := model.Zone{SerialBase: newBase(was, c.file, c.now)}.Serial(c.set)
			if int32(next-c.file) <= 0 {
				t.Errorf("%d is not greater than the file's %d", next, c.file)
			}
			if c.zone && int32(next-was.zone.Serial(c.served)) <= 0 {
				t.Errorf("%d is not greater than the served %d", next, was.zone.Serial(c.served))
			}
		})
	}
}
