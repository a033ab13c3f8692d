"""A connector in the place of cloudflared, over either transport: it registers, is asked, and answers as its origin does."""
