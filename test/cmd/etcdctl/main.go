// Command etcdctl is the real etcd client, built from the module that go.mod
// pins, so that tests and trials need nothing installed.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
