package store
import ("testing";"time";"os/exec";"fmt";"net";"strings";"os")
func freeP(t *testing.T) int { l, _ := net.Listen("tcp","127.0.0.1:0"); defer l.Close(); return l.Addr().(*net.TCPAddr).Port }
func TestTmpCluster(t *testing.T) {
	var cp, pp [3]int; var cl []string
	for i := range 3 { cp[i]=freeP(t); pp[i]=freeP(t); cl = append(cl, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, pp[i])) }
	dir := t.TempDir()
	start := func(i int) *exec.Cmd { c := exec.Command("../../bin/etcd","--name",fmt.Sprintf("m%d",i),"--data-dir",fmt.Sprintf("%s/m%d",dir,i),
		"--listen-client-urls",fmt.Sprintf("http://127.0.0.1:%d",cp[i]),"--advertise-client-urls",fmt.Sprintf("http://127.0.0.1:%d",cp[i]),
		"--listen-peer-urls",fmt.Sprintf("http://127.0.0.1:%d",pp[i]),"--initial-advertise-peer-urls",fmt.Sprintf("http://127.0.0.1:%d",pp[i]),
		"--initial-cluster",strings.Join(cl,","),"--log-level","error")
		if err := c.Start(); err != nil { t.Fatal(err) }; return c }
	var ms [3]*exec.Cmd
	for i := range 3 { ms[i]=start(i) }
	defer func() { for _, m := range ms { m.Process.Kill() } }()
	s := openOn(t, fmt.Sprintf("http://127.0.0.1:%d",cp[0]),fmt.Sprintf("http://127.0.0.1:%d",cp[1]),fmt.Sprintf("http://127.0.0.1:%d",cp[2]))
	r, _ := follow(t, s, FollowOptions{})
	r.awaitLoads(1)
	r.awaitRevision(commit(t, s, putName(s,1)))
	for round := range 3 {
		b := time.Now()
		ms[round].Process.Signal(os.Interrupt); ms[round].Wait()
		rev := commit(t, s, putName(s,10+round)); r.awaitRevision(rev)
		t.Log("one stopped: visible after", time.Since(b))
		ms[round]=start(round)
		time.Sleep(3*time.Second)
	}
	b := time.Now()
	ms[1].Process.Kill(); ms[1].Wait(); ms[2].Process.Kill(); ms[2].Wait()
	r.awaitTrouble(TroubleProbe); t.Log("no quorum: trouble after", time.Since(b), r.now().troubles)
	time.Sleep(8*time.Second)
	t.Log(r.now().troubles)
	ms[1]=start(1); ms[2]=start(2); b = time.Now()
	var rev int64
	for { ctx := t.Context(); resp, err := s.client.Put(ctx, s.keys.rev(exampleOrg), ""); if err == nil { rev = resp.Header.Revision; break } }
	t.Log("quorum after", time.Since(b)); b = time.Now()
	r.awaitRevision(rev); t.Log("visible after", time.Since(b), r.now().loads)
	r.sameAs(s)
}
