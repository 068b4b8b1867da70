//go:build !race

package controltest

const race = false
