"""Where recordings come from: one module or package a kind of telephony."""
