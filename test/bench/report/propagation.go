package report

// Propagation is how soon an update was answered by every replica of one system.
type Propagation struct {
	Name, Version, Note string
	Skipped             string `json:",omitempty"`
	Failure             string `json:",omitempty"`
	Target              int    // updates a second that were offered
	Updates             int    // acknowledged
	PerSecond           float64
	Refused             int     // updates that failed
	CallP50, CallP99    float64 // milliseconds an update's reply took
	Watched             int     // updates whose answers were looked for
	Missed              int     // of these, not answered anywhere in time
	// Replicas is for each replica, and Last for the one that was last: milliseconds
	// from the update's reply to the new answer.
	Replicas []Delays
	Last     Delays
	Within5  float64 // the share of watched updates that every replica answered within 5 ms
}

// Delays is in milliseconds.
type Delays struct{ P50, P90, P99, Max float64 }
