"""What makes a sign-in stronger than PKCE does: when it is used, and what it means that it can't be (decision 18)."""
