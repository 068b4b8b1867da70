package store

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"signpost/internal/model"
)

// The keys of certificates and of what is needed to get them, as keys.go lists them.

func (k keys) anyCert() string      { return k.root + certsUnder }
func (k keys) anyOrder() string     { return k.root + "ctl/acme/order/" }
func (k keys) anyChallenge() string { return k.root + "ctl/acme/challenge/" }
func (k keys) orders() string       { return k.root + "ctl/acme/orders/" }
func (k keys) accounts() string     { return k.root + "ctl/acme/account/" }

func (k keys) cert(z model.Zone, n model.Name) string {
	return k.numbered(certsUnder, z.Name, z.Incarnation, n)
}

func (k keys) order(z model.Zone, n model.Name) string {
	return k.numbered("ctl/acme/order/", z.Name, z.Incarnation, n)
}

func (k keys) challenge(z model.Zone, n model.Name) string {
	return k.anyChallenge() + reversed(z.Name) + "/" + strconv.FormatUint(z.Incarnation, 10) + "/" + relative(n, z.Name)
}

func (k keys) ordersOfNames(n model.Name) string { return k.orders() + "names/" + reversed(n) }
func (k keys) ordersOfOwner(p string) string     { return k.orders() + "owner/" + escape(p) }
func (k keys) ordersOfZone(z model.Name) string  { return k.orders() + "zone/" + reversed(z) }

func (k keys) account(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	return k.accounts() + hex.EncodeToString(sum[:])
}
