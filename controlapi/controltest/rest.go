package controltest

import "encoding/json"

func (s *Server) Rest(method, path, body string) (int, map[string]any) {
	s.T.Helper()
	code, text := s.Call(method, path, "Bearer "+s.Token, body)
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.T.Fatalf("%s %s: %d %q", method, path, code, text)
	}
	return code, out
}
