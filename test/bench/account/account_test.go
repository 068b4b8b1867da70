package account

import (
	"bufio"
	"os/exec"
	"testing"
)

// The account is of a process and of what it has started, and of nobody else.
func TestAccount(t *testing.T) {
	// A shell that works, with a child that has ended and one that waits for input.
	cmd := exec.Command("sh", "-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; exec 3<&0; cat <&3 & echo done; wait")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	used, err := Processor(cmd.Process.Pid)
	if err != nil || used < 2*tick {
		t.Errorf("used %s, %v: the work of the child that has ended is missing", used, err)
	}
	again, err := Processor(cmd.Process.Pid)
	if err != nil || again-used > tick {
		t.Errorf("it rests and used %s more, %v", again-used, err)
	}
	m, err := Now(cmd.Process.Pid)
	if err != nil || m.Resident == 0 || m.Share == 0 || m.Share > m.Resident || m.Peak < m.Resident {
		t.Errorf("memory %+v, %v", m, err)
	}
	ps, err := tree([]int{cmd.Process.Pid})
	if err != nil || len(ps) != 2 {
		t.Errorf("%d processes, %v: want the shell and its child", len(ps), err)
	}
}

func TestHere(t *testing.T) {
	if m := Here(); m.CPU == "" || m.Cores == 0 || m.MemoryMiB == 0 || m.Kernel == "" || m.Go == "" {
		t.Errorf("%+v", m)
	}
}
