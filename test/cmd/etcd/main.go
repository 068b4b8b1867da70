// Command etcd is the real etcd server, built from the module that go.mod
// pins, so that tests and trials need nothing installed.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
