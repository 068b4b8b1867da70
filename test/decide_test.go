package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	pb "signpost/proto/signpost/v1"
)

// Promise 8: one function decides, and one room asks it.
func TestOneRoomAsksDecide(t *testing.T) {
	var rooms []string
	eachSource(t, "..", func(name string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Decide" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "access" {
					rooms = append(rooms, filepath.Dir(name))
				}
			}
			return true
		})
	})
	if rooms = slices.Compact(rooms); !slices.Equal(rooms, []string{"../controlapi/call"}) {
		t.Errorf("access.Decide is asked in %v: a room that decides for itself is one more to be looked after", rooms)
	}
}

// Permission is the first line of the method: before Authorize it reads no more than its
// request. A method may leave all of it to one other of its service.
func TestEachMethodAsksFirst(t *testing.T) {
	bodies := map[string]*ast.FuncDecl{} // of the methods of services
	eachSource(t, "../controlapi", func(name string, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			if p, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok && p.X.(*ast.Ident).Name == "Service" && file.Name.Name != "controlapi" {
				bodies[f.Name.Name] = f
			}
		}
	})
	for _, service := range []grpc.ServiceDesc{
		pb.ZoneService_ServiceDesc, pb.HostService_ServiceDesc, pb.RecordService_ServiceDesc, pb.EndpointService_ServiceDesc,
		pb.HealthService_ServiceDesc, pb.CertificateService_ServiceDesc, pb.TokenService_ServiceDesc, pb.AuditService_ServiceDesc,
		pb.PrincipalService_ServiceDesc, pb.ServerService_ServiceDesc, pb.WatchService_ServiceDesc, pb.CutoverService_ServiceDesc,
	} {
		var methods []string
		for _, m := range service.Methods {
			methods = append(methods, m.MethodName)
		}
		for _, m := range service.Streams {
			methods = append(methods, m.StreamName)
		}
		for _, m := range methods {
			f := bodies[m]
			if f == nil {
				t.Errorf("no room has a method %s", m)
				continue
			}
			if to := leavesTo(f); to != "" {
				f = bodies[to]
			}
			if why := asksFirst(f); why != "" {
				t.Errorf("%s.%s %s", service.ServiceName, m, why)
			}
		}
	}
}

// leavesTo is the method that a method consists of calling; "" when it does more.
func leavesTo(f *ast.FuncDecl) string {
	if r, ok := f.Body.List[0].(*ast.ReturnStmt); ok && len(f.Body.List) == 1 && len(r.Results) == 1 {
		if c, ok := r.Results[0].(*ast.CallExpr); ok {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok {
				return s.Sel.Name
			}
		}
	}
	return ""
}

// asksFirst is what a method does before it asks; "" when nothing.
func asksFirst(f *ast.FuncDecl) (why string) {
	asked := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok || asked || why != "" {
			return !asked && why == ""
		}
		switch s.Sel.Name {
		case "Authorize":
			asked = true
		case "Store", "Read", "ReadHost", "Look", "Change", "Repeated", "ByItself", "Log":
			why = "uses " + s.Sel.Name + " before it has asked Authorize"
		}
		return true
	})
	if !asked && why == "" {
		why = "never asks Authorize"
	}
	return why
}

// eachSource calls with each file below a folder that is no test and not generated.
func eachSource(t *testing.T, below string, do func(name string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(below, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "../bin" || name == "../proto" || name == "../test" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err == nil {
			do(filepath.ToSlash(name), file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
